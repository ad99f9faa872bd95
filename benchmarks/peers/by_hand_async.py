"""What a careful person writes: FastAPI, orjson and onnxruntime, async routes, a session of one thread a worker, no batches.

GRAPH=model.onnx python by_hand_async.py PORT WORKERS
"""

import sys

import uvicorn
from fastapi import FastAPI, Request, Response
from graph import Graph, written

graph = Graph()
app = FastAPI()


@app.post("/infer")
async def infer(request: Request) -> Response:
    """The tensors of the Open Inference Protocol, as JSON."""
    return Response(written(graph.run(graph.read(await request.body()))), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run("by_hand_async:app", port=int(sys.argv[1]), workers=int(sys.argv[2]), log_level="error", access_log=False)
