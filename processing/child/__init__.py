"""The program that touches untrusted bytes: it gives up its own powers first, then decodes.

It is started as a script (see `processing.sandbox`), reads one JSON request from its standard
input and writes one JSON answer to its standard output, or becomes ffprobe or ffmpeg.
"""
