"""The prototype network: backbones, prototype layer, ProtoPNet and its losses."""
