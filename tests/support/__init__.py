"""What tests share: media files, browsers, stand-ins for packages and servers; not in the wheel."""
