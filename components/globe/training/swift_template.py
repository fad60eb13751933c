"""ms-swift plugin: take the image token from the tokenizer.

ms-swift 4.6 writes Qwen2.5-VL's image token id (151655) into its template class, so a model with a smaller vocabulary never
finds its pictures. For the published checkpoints the tokenizer gives the very same number.
"""

from swift.template.templates.qwen import Qwen2VLTemplate

Qwen2VLTemplate.image_token_id = property(lambda self: self.tokenizer.convert_tokens_to_ids("<|image_pad|>"))
Qwen2VLTemplate.video_token_id = property(lambda self: self.tokenizer.convert_tokens_to_ids("<|video_pad|>"))
