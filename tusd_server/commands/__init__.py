"""What the commands of `tusd-server` do, one file each."""
