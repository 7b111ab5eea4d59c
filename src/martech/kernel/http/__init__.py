"""HTTP: what every host serves, whatever modules it hosts."""
