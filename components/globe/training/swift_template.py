"""ms-swift plugin: take the image token from the tokenizer.

ms-swift 4.6 has Qwen2.5-VL's image token id (151655) fixed in its template class, so it never finds the pictures of a model with
a smaller vocabulary. For the published checkpoints the tokenizer gives the same number.
"""

from swift.template.templates.qwen import Qwen2VLTemplate

Qwen2VLTemplate.image_token_id = property(lambda self: self.tokenizer.convert_tokens_to_ids("<|image_pad|>"))
Qwen2VLTemplate.video_token_id = property(lambda self: self.tokenizer.convert_tokens_to_ids("<|video_pad|>"))
