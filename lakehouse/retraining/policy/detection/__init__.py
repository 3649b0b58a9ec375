"""Has the champion become worse, since when, and what has drifted?"""
