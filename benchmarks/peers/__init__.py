"""What a user would otherwise pick, each doing the daemon's job; run in virtual environments of their own."""
