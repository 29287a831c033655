const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}

/** Controls, and marks that turn the direction of text, with which a name can look like another. */
const UNSEEN = /[\p{Cc}\p{Cf}]/gu

/** Somebody's text, as it may stand in HTML and in attributes. */
export function escaped(text: string): string {
  return text
    .toWellFormed()
    .replace(UNSEEN, '\ufffd')
    .replace(/[&<>"']/g, (character) => ENTITIES[character] as string)
}
