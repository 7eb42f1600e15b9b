"""The names of the array API standard that are not ops of the core; ``steep`` itself is the namespace that holds them.

``dtypes`` inspects dtypes, ``values`` has what depends on values (unique, sorting, closeness), ``namespace`` the rest.
"""
