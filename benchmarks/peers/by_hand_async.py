"""What a careful person writes: FastAPI, orjson and onnxruntime, async routes, a session of one thread a worker, no batches.

python by_hand_async.py model.onnx PORT WORKERS
"""

import os
import sys

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response

if __name__ == "__main__":
    os.environ["GRAPH"] = sys.argv[1]  # for the workers
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["GRAPH"], options)
names = [tensor.name for tensor in session.get_inputs()]
types = {
    tensor.name: {"tensor(uint8)": np.uint8, "tensor(int64)": np.int64}.get(tensor.type, np.float32)
    for tensor in session.get_inputs()
}
app = FastAPI()


@app.post("/infer")
async def infer(request: Request) -> Response:
    """The tensors of the Open Inference Protocol, as JSON."""
    sent = orjson.loads(await request.body())
    arrays = {one["name"]: np.array(one["data"], types[one["name"]]).reshape(one["shape"]) for one in sent["inputs"]}
    outputs = session.run(None, arrays)
    found = [
        {"name": tensor.name, "shape": array.shape, "data": array.ravel()}
        for tensor, array in zip(session.get_outputs(), outputs, strict=True)
    ]
    return Response(orjson.dumps({"outputs": found}, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


if __name__ == "__main__":
    uvicorn.run("by_hand_async:app", port=int(sys.argv[2]), workers=int(sys.argv[3]), log_level="error", access_log=False)
