"""What a long-lived process needs, whatever it does: signals, systemd, health over HTTP, logs."""
