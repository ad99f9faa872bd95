"""MLServer's runtime for the graph; `mlserver start FOLDER` with this folder on PYTHONPATH and GRAPH set."""

from graph import Graph
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class Infer(MLModel):
    """The Open Inference Protocol, by MLServer's own codec."""

    async def load(self) -> bool:
        """In the process that runs it."""
        self.graph = Graph()
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """A batch that MLServer joined."""
        arrays = {one.name: NumpyCodec.decode_input(one) for one in payload.inputs}
        outputs = [NumpyCodec.encode_output(name, array) for name, array in self.graph.run(arrays).items()]
        return InferenceResponse(model_name=self.name, outputs=outputs)
