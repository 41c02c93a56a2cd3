"""The methods, one module an area; each is a class whose marked methods are published."""
