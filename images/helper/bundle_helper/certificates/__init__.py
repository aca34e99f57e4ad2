"""The server's certificate: issued or obtained, validated, published, renewed."""
