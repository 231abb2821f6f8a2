"""Nested structures: lists, tuples and dicts of tensors."""


def flatten(structure):
    """The leaves in order; dicts by sorted key. A list of them."""
    if isinstance(structure, (list, tuple)):
        return [leaf for item in structure for leaf in flatten(item)]
    if isinstance(structure, dict):
        return [leaf for key in sorted(structure) for leaf in flatten(structure[key])]
    return [structure]


def map_structure(function, structure):
    """The same structure with `function` applied to each leaf."""
    if isinstance(structure, (list, tuple)):
        items = [map_structure(function, item) for item in structure]
        return type(structure)(items) if type(structure) in (list, tuple) else type(structure)(*items)
    if isinstance(structure, dict):
        return {key: map_structure(function, value) for key, value in structure.items()}
    return function(structure)


def pack_like(structure, leaves):
    """The given leaves (in the order of `flatten`) in the form of `structure`."""
    leaves = iter(leaves)

    def fill(item):
        if isinstance(item, (list, tuple)):
            return type(item)([fill(x) for x in item])
        if isinstance(item, dict):
            filled = {key: fill(item[key]) for key in sorted(item)}
            return {key: filled[key] for key in item}
        return next(leaves)

    return fill(structure)


def form_of(structure):
    """The same structure with None for each leaf; None for a single leaf."""
    return map_structure(lambda _: None, structure) if isinstance(structure, (list, tuple, dict)) else None
