"""Prototype networks, ProtoPNet and XProtoNet, and the search for what their prototypes stand for."""
