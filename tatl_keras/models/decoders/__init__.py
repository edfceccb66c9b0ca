"""What writes a text, token by token, while it looks at what an encoder has made."""
