"""MDM in the calling conventions of other libraries."""

from maskstack.interop.grad_cam import MDMCAM
from maskstack.interop.quantus import explain_func

__all__ = ["MDMCAM", "explain_func"]
