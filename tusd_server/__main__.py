"""`python -m tusd_server` is `tusd-server`."""

from tusd_server.cli import main

if __name__ == "__main__":
    main()
