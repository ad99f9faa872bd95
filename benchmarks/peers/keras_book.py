"""The convnet of Chollet's book as Keras writes it, trained plainly; prints the seconds of each epoch asked for on stdin.

python keras_book.py data.npz
"""

import sys
import time

import keras
import numpy as np
from keras import layers

with np.load(sys.argv[1]) as archive:
    images = archive["images"].astype("float32") / 255
    labels = archive["labels"]

network = keras.Sequential(
    [
        keras.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10, activation="softmax"),
    ]
)
assert network.count_params() == 93_322
network.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
network.fit(images[:6400], labels[:6400], batch_size=64, verbose=0)  # traced and warm
print("ready", flush=True)
for _ in sys.stdin:
    begun = time.perf_counter()
    network.fit(images, labels, epochs=1, batch_size=64, verbose=0)
    print(time.perf_counter() - begun, flush=True)
