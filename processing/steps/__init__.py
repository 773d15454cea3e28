"""The steps of the pipeline, one small callable each: a case goes in, a fuller one comes out."""
