"""Messages to users' connections: numbered and kept until they were dealt with, or told once."""
