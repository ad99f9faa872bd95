"""What most people write: FastAPI, Pillow and onnxruntime, a sync route, one worker. Takes the same PNG and graph.

python by_hand.py model.onnx PORT
"""

import io
import sys

import numpy as np
import onnxruntime
import uvicorn
from fastapi import FastAPI, UploadFile
from PIL import Image

session = onnxruntime.InferenceSession(sys.argv[1])
app = FastAPI()


@app.post("/classify")
def classify(file: UploadFile) -> dict:
    picture = Image.open(io.BytesIO(file.file.read())).convert("L").resize((28, 28))
    (probabilities,) = session.run(None, {"image": np.asarray(picture)[None, :, :, None]})
    return {"label": str(probabilities[0].argmax()), "probabilities": probabilities[0].tolist()}


uvicorn.run(app, port=int(sys.argv[2]), log_level="error")
