"""The only room that knows gunicorn and gevent: it takes bytes off the wire."""

STOPPING = "tusd_server.stopping"
"""Key of the WSGI environment whose value, when called, tells whether the server stops."""
