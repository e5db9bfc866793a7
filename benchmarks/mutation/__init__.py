"""Does a wrong sign make a test fail?"""
