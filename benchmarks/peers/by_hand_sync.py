"""What most people write: FastAPI, pydantic and onnxruntime as they come, sync routes, one worker.

GRAPH=model.onnx python by_hand_sync.py PORT
"""

import io
import os
import sys
from typing import Any

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image
from pydantic import BaseModel

session = onnxruntime.InferenceSession(os.environ["GRAPH"])
app = FastAPI()
DTYPES = {"UINT8": np.uint8, "INT32": np.int32, "FP32": np.float32}


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class Asked(BaseModel):
    inputs: list[Tensor]


@app.post("/infer")
def infer(asked: Asked) -> dict[str, Any]:
    """The tensors of the Open Inference Protocol, as JSON."""
    arrays = {one.name: np.array(one.data, DTYPES[one.datatype]).reshape(one.shape) for one in asked.inputs}
    names = os.environ["OUTPUTS"].split(",")
    outputs = session.run(names, arrays)
    return {
        "outputs": [
            {"name": name, "shape": list(array.shape), "data": array.ravel().tolist()}
            for name, array in zip(names, outputs, strict=True)
        ]
    }


@app.post("/classify")
def classify(file: UploadFile) -> dict[str, Any]:
    """A picture in a form."""
    picture = Image.open(io.BytesIO(file.file.read())).convert("L").resize((28, 28))
    (probabilities,) = session.run(None, {"image": np.asarray(picture)[None, :, :, None]})
    return {"label": str(probabilities[0].argmax()), "probabilities": probabilities[0].tolist()}


uvicorn.run(app, port=int(sys.argv[1]), log_level="error")
