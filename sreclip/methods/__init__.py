"""Registered methods: a name and where it lives. A new one is a file here and its settings."""

METHODS = {
    "zero_shot": "sreclip.methods.zero_shot:ZeroShot",
    "clip_adapter": "sreclip.methods.clip_adapter:ClipAdapter",
    "sre_clip": "sreclip.methods.sre_clip:SreClip",
}
