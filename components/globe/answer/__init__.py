"""What models are asked and what they answer.

* :mod:`globe.answer.prompt`   the question
* :mod:`globe.answer.render`   the text that a model is taught to write
* :mod:`globe.answer.parse`    what a text says, part by part (:mod:`globe.answer.grammar` holds the tags, keys and marks)
* :mod:`globe.answer.locate`   from a text to a place
"""
