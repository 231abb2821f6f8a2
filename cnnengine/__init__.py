"""cnnengine"""
