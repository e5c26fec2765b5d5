"""The machine: devices, hosts, memory, files and messages."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "arrays",
        "debris",
        "devices",
        "environment",
        "files",
        "host_memory",
        "hosts",
        "images",
        "messages",
    ),
)
