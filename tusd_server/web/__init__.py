"""The only room that knows Flask: URLs, answers, CORS."""
