/** Words that answers are made of and that are one token each. */
export const commonWords = (
  'the of and to in is it was for on that with as at by from this they have not but what all were when we there ' +
  'can an your which their said if do will each about how up out them then she many some so these would other into ' +
  'has more her two like him see time could no make than first been its who now people my made over did down only ' +
  'way find use may water long little very after words called just where most know get through back much before go ' +
  'good new write our used me man too any day same right look think also around another came come work three word ' +
  'must because does part even place well such here take why things help put years different away again off went ' +
  'old number great tell men say small every found still between name should home big give air line set own under ' +
  'read last never us left end along while might next sound below saw something thought both few those always looked ' +
  'show large often together asked house world going want school important until form food keep children feet land ' +
  'side without boy once animals life enough took sometimes four head above kind began almost live page got earth ' +
  'need far hand high year mother light parts country father let night following picture being study second eyes ' +
  'soon times story boys since white days ever paper hard near sentence better best across during today others ' +
  'however sure means knew try told young miles sun ways thing whole hear example heard several change answer room ' +
  'sea against top turned learn point city play toward five using himself usually river stone north wind'
).split(' ')

/** Words that answers contain too, of several tokens each: characters of two, three and four bytes among them. */
export const longWords = [
  'tokenizer',
  'understanding',
  'café',
  'Zürich',
  'naïve',
  '山',
  'Ωmega',
  '🌊',
  '東京',
]

/** What stands between the turns of a rendered chat; `<|im_end|>` is the token that ends an answer. */
export const specialTokens = ['<|im_start|>', '<|im_end|>'] as const
