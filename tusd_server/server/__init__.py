"""The only room that knows gunicorn and gevent: it takes bytes off the wire."""
