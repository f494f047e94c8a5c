"""What is stored survives kill -9 and power loss, on SQLite and PostgreSQL alike, through synchronous functions over one Connection."""
