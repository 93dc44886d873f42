"""harness: the experiment-tracking research harness for neural style transfer."""

__version__ = "0.1.0"
