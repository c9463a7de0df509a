"""The Employee Time Tracking API: who worked when, exact to the second."""

__version__ = "0.14.0"
