"""A recurrent reader as Keras writes it, texts padded to one length; prints the seconds of each epoch asked for on stdin.

python keras_reader.py data.npz lstm|gru
"""

import sys
import time

import keras
import numpy as np
from keras import layers

with np.load(sys.argv[1]) as archive:
    tokens, labels, words = archive["tokens"], archive["labels"], int(archive["words"])

recurrent = {"lstm": layers.LSTM, "gru": layers.GRU}[sys.argv[2]]
network = keras.Sequential(
    [
        keras.Input((tokens.shape[1],), dtype="int32"),
        layers.Embedding(words, 64),
        recurrent(32),
        layers.Dense(1, activation="sigmoid"),
    ]
)
network.compile("rmsprop", "binary_crossentropy", metrics=["accuracy"])
network.fit(tokens[:1280], labels[:1280], batch_size=128, verbose=0)  # traced and warm
print("ready", flush=True)
for _ in sys.stdin:
    begun = time.perf_counter()
    network.fit(tokens, labels, epochs=1, batch_size=128, verbose=0)
    print(time.perf_counter() - begun, flush=True)
