"""KServe's client as people have it, in an environment of its own: every call it has for this protocol, told as JSON.

Run by tests/test_kserve.py: `python kserve_calls.py URL`.
"""

import asyncio
import json
import sys

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def main(url: str) -> dict[str, object]:
    """What it got."""
    client = InferenceRESTClient(RESTConfig(protocol="v2"))
    images = np.full((2, 28, 28, 1), 51, np.uint8)
    told: dict[str, object] = {
        "live": await client.is_server_live(url),
        "ready": await client.is_server_ready(url),
        "model": await client.is_model_ready(url, "light"),
    }
    for binary in (False, True):
        image = InferInput("image", list(images.shape), "UINT8")
        image.set_data_from_numpy(images, binary_data=binary)
        answer = await client.infer(url, InferRequest("light", [image], request_id="7"), model_name="light")
        told[f"binary {binary}"] = [answer.id, answer.outputs[0].as_numpy().tolist()]
    text = InferInput("text", [1, 1], "BYTES")
    text.set_data_from_numpy(np.array([["a superb film"]], np.object_), binary_data=False)
    answer = await client.infer(url, InferRequest("words", [text]), model_name="words")
    told["text"] = {output.name: output.as_numpy().tolist() for output in answer.outputs}["probabilities"]
    try:
        await client.infer(url, InferRequest("nobody", [image]), model_name="nobody")
    except Exception as error:
        told["error"] = str(error)
    return told


sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1]))))
