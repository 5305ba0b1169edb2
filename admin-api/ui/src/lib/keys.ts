/** Keys without a modifier are for the page only where nobody types. */
export function isTyping(event: KeyboardEvent): boolean {
  const at = event.target as HTMLElement | null;
  return !!at?.closest("input, textarea, select, [contenteditable='true'], dialog");
}

/** What the key for commands is called here. */
export const commandKey = /Mac|iP/.test(navigator.platform) ? "⌘" : "Ctrl";
