"""Ways for a generated client to reach a gateway: in_process, http, websocket; and dynamic, for tools without one."""
