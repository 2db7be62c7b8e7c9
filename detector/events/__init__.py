"""What comes in: bytes or CSV rows to events, or a reasoned reject."""
