"""Annotated images: labels, boxes, masks and parts, from the formats people keep them in."""
