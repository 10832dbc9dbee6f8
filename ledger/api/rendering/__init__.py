"""What messages say of what the core knows, and the core of messages: one module a topic.

Pure: they read published configuration and events, and call nothing.
"""
