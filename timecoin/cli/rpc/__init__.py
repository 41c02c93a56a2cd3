"""Every RPC method as a command, and how a node is reached."""
