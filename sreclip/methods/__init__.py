"""Registered methods: a name and where it lives. A new one is a file here and its settings."""

METHODS = {
    "zero_shot": "sreclip.methods.zero_shot:ZeroShot",
    "clip_adapter": "sreclip.methods.clip_adapter:ClipAdapter",
    "linear_probe": "sreclip.methods.linear_probe:LinearProbe",
    "tip_adapter": "sreclip.methods.tip_adapter:TipAdapter",
    "tip_adapter_f": "sreclip.methods.tip_adapter_f:TipAdapterF",
    "taskres": "sreclip.methods.taskres:TaskRes",
    "transclip": "sreclip.methods.transclip:TransClip",
    "zlap": "sreclip.methods.zlap:Zlap",
    "gcn_zsl": "sreclip.methods.gcn_zsl:GcnZsl",
    "bgcn": "sreclip.methods.bgcn:Bgcn",
    "uodtn": "sreclip.methods.uodtn:Uodtn",
    "tsce": "sreclip.methods.tsce:Tsce",
    "sre_clip_reference": "sreclip.methods.sre_clip_reference:SreClipReference",
    "sre_clip": "sreclip.methods.sre_clip:SreClip",
}
