"""The viewer: all views of an exam in full depth, over one window, one scale and one point."""
