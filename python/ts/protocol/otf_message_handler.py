"""Deprecated home of the streaming helper (surface spec 9.2)."""

from ts.handler_utils.utils import send_intermediate_predict_response

__all__ = ["send_intermediate_predict_response"]
