import vue from 'eslint-plugin-vue'
import parser from 'vue-eslint-parser'
import ts from 'typescript-eslint'

export default ts.config(
  { ignores: ['dist', 'src/wire'] },
  ...ts.configs.recommended,
  ...vue.configs['flat/essential'],
  { files: ['**/*.vue'], languageOptions: { parser, parserOptions: { parser: ts.parser } } },
  {
    rules: {
      // What a model or another person wrote becomes nodes, never HTML text.
      'vue/no-v-html': 'error',
      'no-restricted-properties': [
        'error',
        { property: 'innerHTML', message: 'Build nodes instead.' },
        { property: 'outerHTML', message: 'Build nodes instead.' },
        { property: 'insertAdjacentHTML', message: 'Build nodes instead.' },
      ],
      'max-lines': ['error', { max: 300 }],
      'max-lines-per-function': ['error', { max: 70, skipComments: true }],
      'vue/multi-word-component-names': 'off',
    },
  },
  { files: ['tests/**'], rules: { 'max-lines-per-function': 'off', 'no-restricted-properties': 'off' } },
)
